"""How figures are drawn, which pictures a person should look at, and the one palette."""
