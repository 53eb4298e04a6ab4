"""What people do here, one function a use case."""
