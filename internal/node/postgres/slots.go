package postgres

// SlotsColumn is a column of a SELECT: every replication slot of the server as a JSON
// array of topology.Slot. The age is that of the older of xmin and catalog_xmin.
const SlotsColumn = `(SELECT coalesce(json_agg(json_build_object('name', slot_name, 'active', active,
               'pid', coalesce(active_pid, 0), 'physical', slot_type = 'physical',
               'restart', coalesce(restart_lsn, '0/0')::text,
               'wal_status', coalesce(wal_status, ''),
               'horizon', xmin IS NOT NULL OR catalog_xmin IS NOT NULL,
               'xmin_age', greatest(age(xmin), age(catalog_xmin), 0))), '[]')::text FROM pg_replication_slots)`
