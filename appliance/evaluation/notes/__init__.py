"""Reads clinical notes offline into facts with their quotes, and checks them against the plan."""

from appliance.evaluation.notes.check import check_notes
from appliance.evaluation.notes.documents import NoteText, notes_of_folder
from appliance.evaluation.notes.encoder import NoteEncoder
from appliance.evaluation.notes.extract import read_notes

__all__ = ["NoteEncoder", "NoteText", "check_notes", "notes_of_folder", "read_notes"]
