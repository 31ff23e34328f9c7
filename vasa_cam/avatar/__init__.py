"""Enrolment: a photo becomes an Avatar, the one file that everything else works from."""
