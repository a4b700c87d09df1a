"""Pure functions over curves and numbers, without server access or drawing."""
