"""What is measured on the networks of a stack, a chapter a module."""
