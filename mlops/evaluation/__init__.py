"""`mlops evaluate`: a version measured on held-out data, its errors laid out for a reviewer."""
