//! Tests that every registry line inherits.
