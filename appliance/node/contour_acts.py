"""Edits of today's contours as messages: to a session's desk and back with what they changed."""

from __future__ import annotations

import json

from pydantic import ValidationError

from appliance.contracts.contour_edit import contour_edits_from_json
from appliance.errors import NodeError, RefusedContourEdit
from appliance.node.wire import Message
from appliance.session import Session


def contour_act(session: Session, request: Message, actor: str) -> Message:
    """`act`: edit (edits: records as docs/contours.md has them), undo or redo. The answer: `slices` by structure,
    `effect` on volumes and on goals in the scheduled plan's dose, `notes`.

    Raises RefusedContourEdit, IllegalTransition; NodeError for an act that is none."""
    act = request.get("act")
    if act == "edit":
        try:
            edits = contour_edits_from_json(json.dumps(request.get("edits")))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RefusedContourEdit(f"{where}: {first['msg']}", remedy="docs/contours.md has the edits") from error
        change = session.edit_contours(actor, edits)
    elif act == "undo":
        change = session.undo_contours(actor)
    elif act == "redo":
        change = session.redo_contours(actor)
    else:
        raise NodeError("it was asked for something it does not know; use the couchside command of this release")
    slices: Message = {name: list(own) for name, own in change.slices.items()}
    return {"slices": slices, "effect": list(session.contour_effect(change)), "notes": list(change.notes)}
