package trace

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Endpoint is where traces go; the zero value: nowhere.
type Endpoint struct {
	url     string
	host    string
	headers http.Header
	service string
}

// Set says whether there is a collector.
func (e Endpoint) Set() bool { return e.url != "" }

// FindEndpoint gives the configured collector, or else the one in OpenTelemetry's
// environment variables. getenv is os.Getenv.
func FindEndpoint(configured string, getenv func(string) string) (Endpoint, error) {
	e := Endpoint{headers: http.Header{}, service: "repool"}
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return e, nil
	}
	if s := getenv("OTEL_SERVICE_NAME"); s != "" {
		e.service = s
	}
	target := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") // the complete address
	if base := getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); target == "" && base != "" {
		target = strings.TrimRight(base, "/") + "/v1/traces"
	}
	if configured != "" {
		target = strings.TrimRight(configured, "/") + "/v1/traces"
	}
	if target == "" {
		return e, nil
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Endpoint{}, errors.New("the address of the OpenTelemetry collector must be a URL such as " +
			"http://127.0.0.1:4318")
	}
	e.url, e.host = target, u.Host
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		if err := e.addHeaders(getenv(name)); err != nil {
			return Endpoint{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return e, nil
}

// addHeaders reads key=value pairs separated by commas, with percent-encoded values.
func (e *Endpoint) addHeaders(list string) error {
	for pair := range strings.SplitSeq(list, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil {
			return errors.New("want key=value pairs separated by commas") // the text may hold a token
		}
		e.headers.Set(strings.TrimSpace(key), plain)
	}
	return nil
}
