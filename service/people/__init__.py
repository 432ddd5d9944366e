"""The people and their keys: clinics, clients, staff, devices, who may see what, and the audit trail."""
