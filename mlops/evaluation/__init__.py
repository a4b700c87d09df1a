"""`mlops evaluate`: evaluate a version on held-out data, with a review page of its errors."""
