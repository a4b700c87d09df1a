"""The training report of a run, a study or a model version, made from the tracked data.

reading    MLflow -> plain values (`tracked_facts`): the only part that reads the store
analysis   plain values -> plain values: best epoch, convergence, stability, rates, anomalies
sections   one function per section: returns a `Section`, or a `MissingSection` with the reason
rendering  sections -> Markdown, one HTML page, JSON with the source of each value
"""
