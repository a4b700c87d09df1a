"""The training report of a run, a study or a model version, made from what was tracked.

reading    MLflow -> plain values (`facts`): the only part that asks a server
analysis   plain values -> plain values: best epoch, convergence, stability, rates, anomalies
sections   one module a section: `build(data)` gives a `Section`, or `Missing` with the reason
drawing    plain values -> matplotlib figures
rendering  sections -> Markdown, one HTML page, JSON that says where each figure was read
"""
