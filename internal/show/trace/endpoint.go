package trace

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Endpoint is where traces go. The zero value is nowhere.
type Endpoint struct {
	url     string
	host    string
	headers http.Header
	service string
}

// Set says whether there is anywhere to send to.
func (e Endpoint) Set() bool { return e.url != "" }

// FindEndpoint gives the configured collector, else that of OpenTelemetry's
// environment variables. getenv is os.Getenv.
func FindEndpoint(configured string, getenv func(string) string) (Endpoint, error) {
	e := Endpoint{headers: http.Header{}, service: "repool"}
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return e, nil
	}
	if s := getenv("OTEL_SERVICE_NAME"); s != "" {
		e.service = s
	}
	target := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") // this one is the whole address
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
		return Endpoint{}, fmt.Errorf("the address of the OpenTelemetry collector is no http or https URL, such as http://127.0.0.1:4318")
	}
	e.url, e.host = target, u.Host
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		if err := e.addHeaders(getenv(name)); err != nil {
			return Endpoint{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return e, nil
}

// addHeaders reads key=value pairs with commas between, values percent-encoded.
func (e *Endpoint) addHeaders(list string) error {
	for pair := range strings.SplitSeq(list, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil {
			return fmt.Errorf("want key=value pairs with commas between") // the text may hold a token
		}
		e.headers.Set(strings.TrimSpace(key), plain)
	}
	return nil
}
