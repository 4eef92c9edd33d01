//! Rules, schedules and clipping against the traces of PyTorch and optax, and the settings of definitions.

mod settings;
mod traces;
