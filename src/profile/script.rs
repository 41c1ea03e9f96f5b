//! What the mock agent does with an invocation: the `[mock]` table of a profile.

/// A valid script of the mock agent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Script {}
