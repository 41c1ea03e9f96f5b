//! The driver against scripted agents, in virtual time.
