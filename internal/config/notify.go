package config

import "net/url"

// LogFormats are the values of log.format.
var LogFormats = []string{"text", "json"}

func (n Notify) validate(ps *problems) {
	webAddress(ps, "notify.webhook.url", n.Webhook.URL)
	private(ps, "notify.webhook.secret_file", n.Webhook.SecretFile)
	if n.Webhook.SecretFile != "" && n.Webhook.URL == "" {
		ps.addAt("notify.webhook.secret_file", "needs notify.webhook.url: there is nothing to sign without it")
	}
}

// webAddress notes a value that is not an http or https URL, or has a password
// in it. The value is not quoted: a path may be a secret too.
func webAddress(ps *problems, at, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		ps.addAt(at, "must be an http or https URL, such as https://hooks.example.org/repool")
	case u.User != nil:
		ps.addAt(at, "must not contain a user or password: sign with secret_file, or put the secret into the path")
	}
}
