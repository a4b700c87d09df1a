"""Figures of one table of answers. Pure; average precision is pycocotools', the rest scikit-learn's."""
