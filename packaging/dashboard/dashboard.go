package dashboard

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// JSON is the file that Grafana imports.
func JSON() ([]byte, error) {
	d, err := Build()
	if err != nil {
		return nil, fmt.Errorf("build the dashboard: %w", err)
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the dashboard: %w", err)
	}
	return append(b, '\n'), nil
}

// Build makes the dashboard of rows.
func Build() (dashboard.Dashboard, error) {
	b := dashboard.NewDashboardBuilder("repool").Uid("repool").Tags([]string{"postgresql", "pgpool-ii"}).
		Description("Failed PostgreSQL nodes put back into a Pgpool-II pool: the pool, one node, one resync.").
		Refresh("15s").Time("now-1h", "now").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(labels("job", "Job", `label_values(repool_build_info, job)`)).
		WithVariable(labels("instance", "Controller", `label_values(repool_build_info{job="$job"}, instance)`)).
		WithVariable(labels("node", "Node", `label_values(repool_node_info{job="$job", instance="$instance"}, node)`))
	for _, r := range rows {
		b.WithRow(dashboard.NewRowBuilder(r.title))
		for _, p := range r.panels {
			b.WithPanel(p.build())
		}
	}
	return b.Build()
}

var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("$datasource")}

// labels is a variable with the values of a label.
func labels(name, label, query string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Query(dashboard.StringOrMap{String: &query}).
		Datasource(source).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortNumericalAsc)
}

func (p panel) targets() []cog.Builder[variants.Dataquery] {
	var out []cog.Builder[variants.Dataquery]
	for i, q := range p.queries {
		expr := strings.NewReplacer("$S", `job="$job", instance="$instance"`, "$N",
			`job="$job", instance="$instance", node="$node"`).Replace(q.expr)
		t := prometheus.NewDataqueryBuilder().Expr(expr).LegendFormat(q.legend).RefId(string(rune('A' + i))).
			Datasource(source)
		switch p.kind {
		case number:
			t.Instant()
		case list:
			t.Instant().Format(prometheus.PromQueryFormatTable)
		default:
			t.Range()
		}
		out = append(out, t)
	}
	return out
}

func (p panel) build() cog.Builder[dashboard.Panel] {
	switch p.kind {
	case number:
		b := stat.NewPanelBuilder().Title(p.title).Description(p.about).Unit(p.unit).Span(p.width).Height(p.height).
			Datasource(source).Targets(p.targets()).
			GraphMode(common.BigValueGraphModeNone).NoValue("–")
		if len(p.queries) > 0 && p.queries[0].legend != "" && p.unit == "none" {
			b.TextMode(common.BigValueTextModeName)
		}
		if p.bad > 0 {
			b.ColorMode(common.BigValueColorModeBackground).
				Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
					Steps([]dashboard.Threshold{{Color: "green"}, {Color: "red", Value: &p.bad}}))
		}
		return b
	case timeline:
		return statetimeline.NewPanelBuilder().Title(p.title).Description(p.about).Span(p.width).Height(p.height).
			Datasource(source).Targets(p.targets()).
			ShowValue(common.VisibilityModeNever).FillOpacity(70)
	case list:
		return table.NewPanelBuilder().Title(p.title).Description(p.about).Span(p.width).Height(p.height).Datasource(source).
			Targets(p.targets()).
			WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
				"excludeByName": map[string]bool{"Time": true, "__name__": true, "instance": true, "job": true},
			}})
	}
	legend := common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).
		Placement(common.LegendPlacementBottom)
	b := timeseries.NewPanelBuilder().Title(p.title).Description(p.about).Unit(p.unit).Span(p.width).Height(p.height).
		Datasource(source).Targets(p.targets()).
		Min(0).Legend(legend)
	if p.kind == stack {
		b.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal)).FillOpacity(40)
	}
	return b
}
