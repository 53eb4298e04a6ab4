"""Who works here: institutions, people and sign-in; and what is going on: today and the journeys."""
