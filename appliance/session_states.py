"""The states of a session and the events between them; which leads where is the table of `session.py`."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    WAITING = "waiting for image"
    ASSEMBLING = "assembling"
    CONTOUR_REVIEW = "contour review"
    PREDICTING = "predicting"
    PLANNING = "planning"
    EVALUATING = "evaluating"
    IN_REVIEW = "in review"
    REVISING = "revising"
    APPROVED = "approved"
    EXPORTING = "exporting"
    EXPORTED = "exported"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    SCHEDULED_PLAN_CHOSEN = "scheduled plan chosen"
    STOPPED = "stopped"
    FAILED = "failed"


class Event(StrEnum):
    RECEIVE = "receive"
    ASSEMBLE = "assemble"
    QUESTION_CONTOURS = "question contours"
    CONFIRM_CONTOURS = "confirm contours"
    EDIT_CONTOURS = "edit contours"
    PREDICT = "predict"
    PLAN = "plan"
    EVALUATE = "evaluate"
    REVISE = "revise"
    FINISH_REVISION = "finish revision"
    APPROVE = "approve"
    START_EXPORT = "start export"
    EXPORT = "export"
    MISS_EXPORT = "miss export"
    START_DELIVERY = "start delivery"
    FINISH_DELIVERY = "finish delivery"
    REJECT = "reject"
    CHOOSE_SCHEDULED = "choose scheduled"
    STOP = "stop"
    FAIL = "fail"
    RETRY = "retry"
