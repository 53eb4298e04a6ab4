"""An invented institution and invented people, played through the system's public HTTP interfaces."""
