"""Objects in: from the network or a folder, each refused or durably kept, until they make today's case.

association ── reads a message ──► store ── structure, rules ──► objects/ + audit row ──► status to the sender
     ▲                               └──── refused ────────────► quarantine/ + audit row ─► failure status
   node (admission, limits)          folder: the same rules for files     assess: which objects make the case
"""

from appliance.inbound.assess import Completeness, assess, assess_pair
from appliance.inbound.attachments import AttachmentShelf, dicom_files
from appliance.inbound.folder import FolderContents, read_folder, scan_folder, scan_folders
from appliance.inbound.limits import Limits
from appliance.inbound.node import StorageNode
from appliance.inbound.store import ObjectStore

__all__ = [
    "AttachmentShelf",
    "Completeness",
    "FolderContents",
    "Limits",
    "ObjectStore",
    "StorageNode",
    "assess",
    "assess_pair",
    "dicom_files",
    "read_folder",
    "scan_folder",
    "scan_folders",
]
