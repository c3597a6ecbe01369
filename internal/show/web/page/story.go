package page

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/view"
)

// tell reads what is needed for the story of a run.
func (s *server) tell(ctx context.Context, run string) (view.Story, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return view.Find(run, func(f event.Filter) ([]event.Event, error) { return s.o.Source.History(ctx, f) })
}

func (s *server) story(w http.ResponseWriter, r *http.Request) {
	story, err := s.tell(r.Context(), r.PathValue("id"))
	if err != nil {
		status := http.StatusServiceUnavailable
		if none := (view.ErrNoSuchRun{}); errors.As(err, &none) {
			status = http.StatusNotFound
		}
		s.render(w, r, status, frame{Title: "repool"}, "notfound", err.Error())
		return
	}
	s.render(w, r, http.StatusOK, frame{Title: "A run of node " + story.Node.String() + " · repool"}, "story", story)
}
