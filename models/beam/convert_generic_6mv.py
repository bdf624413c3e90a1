"""Makes models/beam/generic_6mv.json from matRad's generic 6 MV photon machine.

Run by hand: python models/beam/convert_generic_6mv.py PATH/photons_Generic.mat (from the pyRadPlan 0.5.0 wheel,
pyRadPlan/data/machines/). The kernels are taken as they are; output calibration and collimation are our own choices.
"""

import sys
from pathlib import Path

from engines.photon.beam_model import Collimation, Reference, save_beam_model
from engines.photon.matrad import import_matrad

SSD_MM = (750.0, 800.0, 850.0, 900.0, 950.0, 1000.0)


def main() -> None:
    model = import_matrad(
        Path(sys.argv[1]),
        name="generic_6mv",
        ssd_mm=SSD_MM,
        collimation=Collimation(leaf_transmission=0.016, jaw_transmission=0.001, leaf_offset_mm=0.7),
        reference=Reference(ssd_mm=1000.0, depth_mm=15.0, field_mm=100.0, gy_per_mu=0.01),
        provenance={
            "kernels": "matRad/pyRadPlan generic 6 MV photon machine photons_Generic.mat (file dated 2026-04-22, "
            "shipped in pyRadPlan 0.5.0), Copyright German Cancer Research Center (DKFZ), BSD-3-Clause; tables for "
            "source-surface distances 750..1000 mm kept, numbers rounded to 7 digits",
            "model": "singular-value pencil beam, Bortfeld, Schlegel, Rhein, Med Phys 20:311 (1993)",
            "reference": "chosen: 1 cGy/MU at 15 mm depth, 10 x 10 cm2, SSD 1000 mm, a common calibration of 6 MV "
            "linacs; the generic machine has no calibration of its own",
            "collimation": "not measured: leaf transmission 1.6 %, jaw 0.1 % and 0.7 mm from leaf tip to radiation "
            "edge are typical of what is reported for the Millennium 120 at 6 MV; commissioning replaces them",
            "trust": "plans made with it are not for any real machine; lateral and depth doses follow the imported "
            "kernels to 1 %, heterogeneity is scaled by radiological depth only (up to 5 % too high behind lung)",
        },
    )
    save_beam_model(model, Path(__file__).with_name("generic_6mv.json"))


if __name__ == "__main__":
    main()
