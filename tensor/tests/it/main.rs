//! Rules against central differences, against their transposes and against PyTorch; random programs; the compiled step against the
//! interpreter; kernels against their twins; the texts of errors.

mod errors;
mod kinks;
mod programs;
mod reference;
mod rules;
mod steps;
mod support;
mod tiles;
