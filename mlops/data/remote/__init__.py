"""Data sets in an object store: fetched once, checked every time, whatever interrupts it."""
