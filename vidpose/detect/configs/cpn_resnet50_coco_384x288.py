# MMPose config: CPN with ResNet-50 on COCO, 384 x 288.

_base_ = ["./cpn_resnet50_coco_256x192.py"]

codec = {"type": "CPNHeatmap", "input_size": (288, 384), "heatmap_size": (72, 96)}
model = {"head": {"decoder": codec}}

padding = (1.2, 1.3)
train_pipeline = [
    {"type": "LoadImage"},
    {"type": "CPNVisibility"},
    {"type": "GetBBoxCenterScale", "padding": padding},
    {"type": "RandomFlip", "direction": "horizontal"},
    {
        "type": "RandomBBoxTransform",
        "shift_prob": 0,
        "scale_factor": (0.7, 1.35),
        "rotate_factor": 45,
        "rotate_prob": 1,
    },
    {"type": "CPNAffine", "input_size": codec["input_size"]},
    {"type": "YOLOXHSVRandomAug"},
    {"type": "GenerateTarget", "encoder": codec},
    {"type": "PackPoseInputs"},
]
val_pipeline = [
    {"type": "LoadImage"},
    {"type": "GetBBoxCenterScale", "padding": padding},
    {"type": "CPNAffine", "input_size": codec["input_size"]},
    {"type": "PackPoseInputs"},
]
train_dataloader = {"dataset": {"pipeline": train_pipeline}}
val_dataloader = {"dataset": {"pipeline": val_pipeline}}
test_dataloader = val_dataloader
