"""What a clinic takes with it: one client, or all of them, as CSV tables or as FHIR resources.

`gathered.py` reads; `tables.py` makes the tables, two of which `python -m service import` takes again; `fhir.py` makes
the resources; `package.py` puts either into a ZIP file. `fhir.py` loads a large library: it is imported only where FHIR
is asked for.
"""
