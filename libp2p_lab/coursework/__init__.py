"""Coursework."""
