package config

import (
	"net/url"
)

// LogFormats are the forms of the log.
var LogFormats = []string{"text", "json"}

func (n Notify) validate(ps *problems) {
	webAddress(ps, "notify.webhook.url", n.Webhook.URL)
	private(ps, "notify.webhook.secret_file", n.Webhook.SecretFile)
	if n.Webhook.SecretFile != "" && n.Webhook.URL == "" {
		ps.addAt("notify.webhook.secret_file", "there is no url to sign for")
	}
}

// webAddress notes what is no http or https URL, or has a password in it. The
// value is not quoted: a path may be a secret too.
func webAddress(ps *problems, at, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		ps.addAt(at, "want an http or https URL, such as https://hooks.example.org/repool")
	case u.User != nil:
		ps.addAt(at, "no user or password may stand in it: sign by secret_file, or keep the secret in the path")
	}
}
