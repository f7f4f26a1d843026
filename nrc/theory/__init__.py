"""The mathematics: a chapter a module, functions of arrays alone."""
