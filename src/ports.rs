//! What the rest of refit needs from the world, as traits.
