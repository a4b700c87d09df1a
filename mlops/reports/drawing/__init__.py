"""matplotlib figures of plain values, in colours that anyone can tell apart."""
