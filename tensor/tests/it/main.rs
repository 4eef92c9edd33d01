//! Rules against central differences, against their transposes and against PyTorch; random programs; the texts of errors.

mod errors;
mod kinks;
mod programs;
mod reference;
mod rules;
mod support;
