"""The web shell: what every service's pages and API share, from the first header to the last word of an error page."""
