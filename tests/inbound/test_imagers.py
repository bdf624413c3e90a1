"""CT objects of treatment machines, whose values need not be Hounsfield units."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from appliance.audit import AuditLog
from appliance.errors import RefusedObject
from appliance.inbound import Limits, ObjectStore
from appliance.inbound.catalogue import Rule
from appliance.inbound.rules import check_new
from appliance.inbound.subject import Announced, open_subject


def _announced(dataset):
    return Announced(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))


def _examine(data, dataset, *imagers):
    subject = open_subject(
        data, 0, transfer_syntax=ExplicitVRLittleEndian, announced=_announced(dataset), name="It", limits=Limits()
    )
    check_new(subject, imagers)


def _of_type(words):
    return lambda dataset: setattr(dataset, "RescaleType", words)


def _without(*keywords):
    return lambda dataset: [dataset.pop(keyword) for keyword in keywords]


@pytest.mark.parametrize("spoil", [_of_type("US"), _of_type("HU"), _without("RescaleSlope", "RescaleIntercept")])
def test_they_pass_by_their_maker_and_by_a_configured_name(study, dataset_bytes, spoil):
    by_maker, by_name = study.series(2)
    by_maker.Manufacturer, by_name.StationName = "ELEKTA", "LINAC_4"
    for dataset, imagers in ((by_maker, ()), (by_name, ("linac 4",))):
        spoil(dataset)
        _examine(dataset_bytes(dataset), dataset, *imagers)


def test_without_the_name_it_is_a_ct_without_hounsfield_units(study, dataset_bytes):
    dataset = study.ct(0)
    dataset.StationName, dataset.RescaleType = "LINAC_4", "US"
    with pytest.raises(RefusedObject, match=r"anatomy\.cbct_names") as refused:
        _examine(dataset_bytes(dataset), dataset)
    assert refused.value.fields["rule"] == Rule.NOT_HU.id


@pytest.mark.parametrize(
    "spoil",
    [lambda dataset: setattr(dataset, "RescaleSlope", 0), _without("RescaleSlope"), _without("RescaleIntercept")],
)
def test_half_a_rescale_is_none(study, dataset_bytes, spoil):
    dataset = study.ct(0)
    dataset.Manufacturer, dataset.RescaleType = "ELEKTA", "US"
    spoil(dataset)
    with pytest.raises(RefusedObject, match="Rescale"):
        _examine(dataset_bytes(dataset), dataset)


def test_a_name_that_is_no_longer_configured_takes_nothing_out_of_the_store(study, dataset_bytes, file_bytes, tmp_path):
    """What lies there without a row is judged as on arrival."""

    @contextmanager
    def opened(*imagers):
        audit = AuditLog.open(tmp_path / "audit.sqlite")
        with ObjectStore(tmp_path, audit, imagers=imagers) as store:
            yield store
        audit.close()

    stored, late = study.ct(0), study.ct(1)
    for dataset in (stored, late):
        dataset.StationName, dataset.RescaleType = "LINAC_4", "US"
    with opened("linac 4") as store:
        incoming = store.begin(_announced(stored), ExplicitVRLittleEndian, sender="TEST", keep_free_bytes=0)
        store.write(incoming, memoryview(dataset_bytes(stored)), keep_free_bytes=0)
        store.accept(incoming)
    (tmp_path / "objects" / "aaaa.dcm").write_bytes(file_bytes(late))
    with opened() as store:
        assert [item.sop_instance_uid for item in store.received()] == [stored.SOPInstanceUID]
    assert len(list((tmp_path / "quarantine").glob("*.dcm"))) == 1
