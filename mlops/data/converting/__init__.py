"""A data set of any format that is read, written as a YOLO folder or an ImageFolder."""
