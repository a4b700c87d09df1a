"""What a version must show to enter each stage: the shipped policies and the classes they are read into."""
