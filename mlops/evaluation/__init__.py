"""What a model answers, how good that is, how sure one can be of a difference, and how it is drawn.

prediction   a version's ONNX file, asked for probabilities or boxes
samples      its answers to every picture, as tables; which box finds which object
metrics      figures of one table, by scikit-learn and pycocotools
statistics   several tables on the same samples: intervals, tests, verdicts
drawing      figures as pictures
"""
