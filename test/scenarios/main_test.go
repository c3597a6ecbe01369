package scenarios

import (
	"testing"

	"github.com/repool/repool/test/testpool"
)

func TestMain(m *testing.M) { testpool.Main(m) }
