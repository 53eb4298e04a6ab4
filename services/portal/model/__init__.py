"""What the portal decides, without any server: institutions, people, sign-in, journeys."""
