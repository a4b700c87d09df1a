"""Write a data set of any supported format as a YOLO folder or an ImageFolder."""
