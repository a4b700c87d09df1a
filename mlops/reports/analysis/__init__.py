"""Pure functions over curves and numbers; nothing here asks a server or draws."""
