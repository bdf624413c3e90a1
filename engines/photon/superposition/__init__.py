"""Collapsed-cone superposition (Ahnesjo, Med Phys 16:577, 1989): final dose and independent second check."""
