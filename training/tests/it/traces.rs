//! Every rule follows the trace of the framework that it is from, to 1e-10.

use serde_json::{Value, json};
use thalweg_training::{Bounds, Optimizer, Rule};

/// `sum(0.5*a*(p-c)^2) + 0.1*sum(sin(3p))`, and where it begins.
struct Case {
    file: Value,
}

impl Case {
    fn torch() -> Case {
        Case { file: serde_json::from_str(include_str!("fixtures/optim_torch.json")).unwrap() }
    }

    fn optax() -> Case {
        Case { file: serde_json::from_str(include_str!("fixtures/optim_optax.json")).unwrap() }
    }

    fn gradient(&self, p: &[f64]) -> Vec<f64> {
        let (a, c) = (numbers(&self.file["a"]), numbers(&self.file["c"]));
        p.iter().zip(a.iter().zip(&c)).map(|(p, (a, c))| a * (p - c) + 0.3 * (3.0 * p).cos()).collect()
    }

    /// The case `name` with these settings; `sign` -1 where it climbs.
    fn check(&self, name: &str, settings: Value, sign: f64, tolerance: f64) {
        let optimizer = read(settings);
        let trace = self.file["cases"][name]["trace"].as_array().unwrap_or_else(|| panic!("no case {name}"));
        let (mut p, mut state) = (numbers(&self.file["p0"]), Vec::new());
        let (mut apart, mut states) = (p.clone(), vec![Vec::new(); p.len()]);
        let last = trace.last().unwrap()["step"].as_u64().unwrap();
        for t in 1..=last {
            let rate = optimizer.schedule.rate(optimizer.rate, t);
            let mut gradient = self.gradient(&p);
            gradient.iter_mut().for_each(|g| *g *= sign);
            if let Some(clip) = optimizer.clip {
                clip.apply(&mut gradient);
            }
            optimizer.rule.step(rate, &mut p, &gradient, &mut state);
            if optimizer.rule.is_elementwise() {
                for i in 0..p.len() {
                    optimizer.rule.step(rate, &mut apart[i..=i], &gradient[i..=i], &mut states[i]);
                }
                assert_eq!(p, apart, "{name}: one slice and scalars at step {t}");
            }
            if let Some(entry) = trace.iter().find(|entry| entry["step"] == t) {
                close(&p, &numbers(&entry["params"]), tolerance, &format!("{name} at step {t}"));
            }
        }
    }
}

fn read(settings: Value) -> Optimizer {
    Optimizer::read(settings.as_object().unwrap()).unwrap()
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn close(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: {a} is not {b}");
    }
}

#[test]
fn rules_follow_pytorch() {
    let torch = Case::torch();
    for (name, settings) in [
        ("sgd", json!({"kind": "sgd", "lr": 0.05})),
        ("sgd_momentum", json!({"kind": "sgd", "lr": 0.05, "momentum": 0.9})),
        ("sgd_momentum_dampening", json!({"kind": "sgd", "lr": 0.05, "momentum": 0.9, "dampening": 0.5})),
        ("sgd_nesterov_wd", json!({"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": true, "weight_decay": 0.01})),
        ("adam", json!({"kind": "adam", "lr": 0.05})),
        ("adam_l2", json!({"kind": "adam", "lr": 0.05, "weight_decay": 0.1})),
        ("adam_amsgrad", json!({"kind": "adam", "lr": 0.05, "amsgrad": true})),
        ("adamw", json!({"kind": "adamw", "lr": 0.05, "weight_decay": 0.1})),
        ("adamw_default", json!({"kind": "adamw", "lr": 0.001})),
        ("rmsprop", json!({"kind": "rmsprop", "lr": 0.01})),
        ("rmsprop_centered_momentum", json!({"kind": "rmsprop", "lr": 0.01, "momentum": 0.9, "centered": true})),
        ("adagrad", json!({"kind": "adagrad", "lr": 0.1})),
        ("adagrad_decay_init", json!({"kind": "adagrad", "lr": 0.1, "lr_decay": 0.01, "initial": 0.1})),
        ("lbfgs_fixed", json!({"kind": "lbfgs", "lr": 0.1, "history": 5})),
    ] {
        torch.check(name, settings, 1.0, 1e-10);
    }
    torch.check("sgd_maximize", json!({"kind": "sgd", "lr": 0.01}), -1.0, 1e-10);
    torch.check("adamw_maximize", json!({"kind": "adamw", "lr": 0.01}), -1.0, 1e-10);
}

#[test]
fn rules_follow_optax() {
    let optax = Case::optax();
    for (name, settings) in [
        ("sgd", json!({"kind": "sgd", "lr": 0.05})),
        ("sgd_momentum", json!({"kind": "sgd", "lr": 0.05, "momentum": 0.9})),
        ("sgd_nesterov", json!({"kind": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": true})),
        ("adam", json!({"kind": "adam", "lr": 0.05})),
        ("adamw_wd0.1", json!({"kind": "adamw", "lr": 0.05, "weight_decay": 0.1})),
        ("rmsprop", json!({"kind": "rmsprop", "lr": 0.01, "alpha": 0.9, "eps_in_root": true})),
        ("rmsprop_eps_out", json!({"kind": "rmsprop", "lr": 0.01})),
        ("lion", json!({"kind": "lion", "lr": 0.01})),
        ("lion_wd", json!({"kind": "lion", "lr": 0.01, "weight_decay": 0.1})),
        ("clip_global_norm1_sgd", json!({"kind": "sgd", "lr": 0.05, "clip_norm": 1.0})),
        ("clip_value_sgd", json!({"kind": "sgd", "lr": 0.05, "clip_value": 0.5})),
        ("adamw_cosine", json!({"kind": "adamw", "lr": 0.05, "schedule": {"kind": "cosine", "steps": 50}})),
    ] {
        optax.check(name, settings, 1.0, 1e-10);
    }
    // optax computes this schedule partly in 32 bits.
    let warmup = json!({"kind": "adamw", "lr": 0.05, "schedule": {"kind": "cosine", "warmup": 10, "steps": 50}});
    optax.check("adamw_warmup_cosine", warmup, 1.0, 1e-8);
}

#[test]
fn an_absent_gradient_is_no_zero() {
    for edge in Case::torch().file["edges"].as_array().unwrap() {
        let mut settings = edge["args"].as_object().unwrap().clone();
        settings.insert("kind".into(), edge["class"].as_str().unwrap().to_lowercase().into());
        let optimizer = read(settings.into());
        let (mut p, mut state) = (vec![1.0, -2.0], Vec::new());
        for (gradient, after) in edge["grads"].as_array().unwrap().iter().zip(edge["params_after_each"].as_array().unwrap()) {
            if !gradient.is_null() {
                optimizer.rule.step(optimizer.rate, &mut p, &numbers(gradient), &mut state);
            }
            close(&p, &numbers(after), 1e-12, &format!("{edge}"));
        }
    }
}

#[test]
fn schedules_follow_pytorch() {
    let torch = Case::torch();
    for (name, base, settings) in [
        ("StepLR(7,0.5)", 0.1, json!({"kind": "step", "every": 7, "factor": 0.5})),
        ("ExponentialLR(0.9)", 0.1, json!({"kind": "exponential", "factor": 0.9})),
        ("CosineAnnealingLR(20,eta_min=0.001)", 0.1, json!({"kind": "cosine", "steps": 20, "floor": 0.001})),
        ("LinearLR(0.1,1.0,5)", 0.1, json!({"kind": "linear", "from": 0.1, "steps": 5})),
        ("OneCycleLR(max_lr=0.5,total_steps=26)", 0.5, json!({"kind": "one-cycle", "steps": 26})),
        ("PolynomialLR(20,2.0)", 0.1, json!({"kind": "polynomial", "steps": 20, "power": 2.0})),
        ("CosineAnnealingWarmRestarts(8,2)", 0.1, json!({"kind": "restarts", "first": 8, "multiply": 2})),
    ] {
        let theirs = numbers(&torch.file["schedules_base_lr_0.1"][name]);
        let schedule = read(json!({"kind": "sgd", "schedule": settings})).schedule;
        // PyTorch's cosine turns at its end and comes back; ours stays.
        let until = if name.starts_with("CosineAnnealingLR") { 21 } else { theirs.len() };
        let ours: Vec<f64> = (1..=until as u64).map(|step| schedule.rate(base, step)).collect();
        close(&ours, &theirs[..until], 1e-12, name);
    }
}

#[test]
fn a_price_goes_to_its_bound_and_stays() {
    let file = Case::torch().file;
    let bounds = Bounds { least: Some(5.0), greatest: Some(24.0) };
    let optimizer = read(json!({"kind": "adam", "lr": 0.5}));
    let (mut p, mut state) = ([20.0], Vec::new());
    for t in 1..=200 {
        let demand = 1000.0 * (-0.05 * (p[0] - 10.0f64)).exp();
        let slope = demand + p[0] * -0.05 * demand - 6.0 * -0.05 * demand;
        optimizer.rule.step(0.5, &mut p, &[-slope], &mut state);
        p[0] = bounds.nearest(p[0]);
        if let Some(entry) = file["price_projected_adam"]["trace"].as_array().unwrap().iter().find(|entry| entry["step"] == t) {
            close(&p, &[entry["price"].as_f64().unwrap()], 1e-10, &format!("step {t}"));
        }
        assert_eq!(bounds.inward(p[0], -slope) == 0.0, p[0] == 24.0 && slope > 0.0);
    }
}

#[test]
fn a_state_goes_on_bit_for_bit() {
    let torch = Case::torch();
    for kind in thalweg_training::read::RULES {
        let optimizer = Optimizer::named(kind, 0.01).unwrap();
        let (mut p, mut state) = (numbers(&torch.file["p0"]), Vec::new());
        let (mut q, mut resumed) = (p.clone(), Vec::new());
        for _ in 0..30 {
            let (of_p, of_q) = (torch.gradient(&p), torch.gradient(&q));
            optimizer.rule.step(0.01, &mut p, &of_p, &mut state);
            resumed = resumed.iter().map(|x: &f64| f64::from_bits(x.to_bits())).collect();
            optimizer.rule.step(0.01, &mut q, &of_q, &mut resumed);
        }
        assert_eq!((&p, &state), (&q, &resumed), "{kind}");
    }
}

#[test]
fn ten_thousand_steps_leave_no_subnormals_in_the_corrections() {
    let adam = Optimizer::named("adam", 0.001).unwrap();
    let (mut p, mut state) = (vec![1.0], Vec::new());
    for _ in 0..10_000 {
        adam.rule.step(0.001, &mut p, &[0.5], &mut state);
    }
    assert!(p[0].is_finite() && (p[0] - (1.0 - 10.0)).abs() < 1e-3, "{p:?}");
    assert!(matches!(adam.rule, Rule::Adam { decoupled: false, .. }));
}
