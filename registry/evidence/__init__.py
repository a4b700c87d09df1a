"""What is known of one version: `gather` reads it from the server, `facts` is what gates get to see."""
