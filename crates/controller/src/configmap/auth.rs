//! The service that is asked of all requests (`global-auth-*`). ingress-nginx asks nobody where it cannot read the URL; here
//! nothing is served then.

use super::Configuration;
use super::value::{Read, switch};
use crate::annotation::external_auth::{
    HEADER_NAMES, METHODS, PARAM, TIMES, URL_ALLOWED, parse_header_names, parse_method, parse_param, parse_times,
    parse_url,
};

pub(super) fn url(value: &str, configuration: &mut Configuration) -> Read {
    let value = value.trim();
    if !value.is_empty() {
        configuration.external_auth.url = Some(parse_url(value).ok_or(URL_ALLOWED)?);
    }
    Ok(())
}

pub(super) fn method(value: &str, configuration: &mut Configuration) -> Read {
    if !value.is_empty() {
        configuration.external_auth.method = Some(parse_method(value).ok_or(METHODS)?);
    }
    Ok(())
}

pub(super) fn signin(value: &str, configuration: &mut Configuration) -> Read {
    let value = value.trim();
    let is_url = parse_url(value).is_some();
    let template = value.parse().ok().filter(|_| is_url).ok_or(URL_ALLOWED)?;
    configuration.external_auth.sign_in = Some((value.into(), template));
    Ok(())
}

pub(super) fn signin_redirect_param(value: &str, configuration: &mut Configuration) -> Read {
    configuration.external_auth.sign_in_param = parse_param(value).ok_or(PARAM)?;
    Ok(())
}

pub(super) fn response_headers(value: &str, configuration: &mut Configuration) -> Read {
    let names = parse_header_names(value);
    let is_whole = names.is_ok();
    // What is a name stays one, as in ingress-nginx.
    configuration.external_auth.response_headers = names.unwrap_or_else(|names| names);
    if is_whole { Ok(()) } else { Err(HEADER_NAMES.to_owned()) }
}

pub(super) fn request_redirect(value: &str, configuration: &mut Configuration) -> Read {
    if !value.is_empty() {
        let is_visible = value.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        let template = value.parse().ok().filter(|_| is_visible).ok_or(URL_ALLOWED)?;
        configuration.external_auth.request_redirect = Some(template);
    }
    Ok(())
}

pub(super) fn cache_key(value: &str, configuration: &mut Configuration) -> Read {
    if !value.is_empty() {
        let template = value.parse().map_err(|_| "text with variables that Edgeward knows")?;
        configuration.external_auth.cache_key = Some(template);
    }
    Ok(())
}

pub(super) fn cache_duration(value: &str, configuration: &mut Configuration) -> Read {
    configuration.external_auth.cache_times = parse_times(value).ok_or(TIMES)?;
    Ok(())
}

pub(super) fn always_set_cookie(value: &str, configuration: &mut Configuration) -> Read {
    configuration.external_auth.always_set_cookie = switch(value)?;
    Ok(())
}
