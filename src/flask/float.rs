//! Floats as Python's `repr` writes them.

/// Returns the shortest text that reads back as the same number.
pub(super) fn repr(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let text = round_half_even(number, format!("{number:?}"));
    // Both languages use exponents below 1e-4 and from 1e16 on. Python's have a sign and at least two digits.
    match text.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        Some((digits, exponent)) => format!("{digits}e{exponent:+03}"),
        None => text,
    }
}

/// Returns, of two equally short and equally near texts, the one with an even last digit, as Python does.
///
/// Rust's shortest text is the greater of them, but Rust rounds to even if the number of digits is given.
fn round_half_even(number: f64, shortest: String) -> String {
    let (digits, is_exponential) = match shortest.split_once('e') {
        Some((digits, _)) => (digits, true),
        None => (shortest.as_str(), false),
    };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let even = if is_exponential { format!("{number:.decimals$e}") } else { format!("{number:.decimals$}") };
    if even.parse() == Ok(number) { even } else { shortest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_is_written_as_python_writes_it() {
        let table = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.25e22, "1.25e+22"),
            (1e300, "1e+300"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (2.0_f64.powi(-25), "2.9802322387695312e-08"),
            (-2.0_f64.powi(-25), "-2.9802322387695312e-08"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ];

        for (number, text) in table {
            assert_eq!(repr(number), text);
        }
    }
}
