//! Variables of settings that were renamed. `invalid/renamed_*.toml` are files of them.

use super::environment::refused;

#[test]
fn a_variable_of_a_renamed_setting_is_refused_with_the_new_name() {
    let table = [
        ("CLOAKROOM__SERVER__DRAIN_PAUSE", "5s", "server.drain_pause", "shutdown_delay"),
        ("CLOAKROOM__SERVER__PREFACE_TIMEOUT", "10", "server.preface_timeout", "first_request_timeout"),
        ("CLOAKROOM__APPS__SHOP__WHEN_FULL", "refuse", "apps.shop.when_full", "on_session_limit"),
    ];

    for (variable, value, key, new) in table {
        refused(variable, value, &format!("{key}: this setting is now called `{new}`"));
    }
}

#[test]
fn a_variable_below_a_renamed_table_is_refused_with_the_new_name_of_the_table() {
    let table = [
        ("CLOAKROOM__APPS__SHOP__ACCEPT", "flask_cookie"),
        ("CLOAKROOM__APPS__SHOP__ACCEPT__UNTIL", "2027-01-31"),
        ("CLOAKROOM__APPS__SHOP__ACCEPT__FLASK_COOKIE__KEYS", "s3cret, s3cret2"),
    ];

    for (variable, value) in table {
        refused(variable, value, "apps.shop.accept: this setting is now called `migrate`");
    }
}
