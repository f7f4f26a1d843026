"""What training minimises: regularised losses, their penalties and derivatives, coordinates and precision."""
